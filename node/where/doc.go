// Package where is the language in which LeanCloud's clients look for
// conversations: a JSON document of conditions, as MongoDB has them.
//
//	{"attr.topic": "tea", "m": {"$all": ["ann"]}, "$or": [{"name": {"$regex": "^five"}}, {"lm": {"$gt": {"__type": "Date", "iso": "…"}}}]}
//
// [Parse] reads it once, within limits; [Query.Match] holds it against a document,
// which is JSON as package encoding/json decodes it. [Query.Plan] says what makes
// the search narrow: ids that a match must have, or a user who must be in it.
// [ParseSort] reads in which order matches are wanted.
//
// What always holds:
//
//   - Matching takes time in proportion to the query and the document: regular
//     expressions are RE2, and one that needs to look around is refused by name.
//   - A date is an instant, whether it is written as a Date or as an ISO string.
//   - A condition on a list holds when it holds for one of its elements.
//   - A plan never leaves out a document that matches.
package where
