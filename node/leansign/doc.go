// Package leansign verifies what LeanMessage apps sign.
//
// An app's own server allows its users what it wants to allow: it signs a line
// of text that names the action, HMAC-SHA1 with the app's master key, and the
// client shows the signature with its command. SDKs, samples and their versions
// differ in details of that line, so [Check] accepts every form that is
// documented or published, and [Sign] makes the documented one.
//
// REST requests prove the app instead: with a key or with a digest of one, see
// [Keys].
//
// The package is pure: time is an argument.
//
// What always holds: signatures are compared in constant time, over all forms,
// whichever fits; and a signature is of one client and app, and of one action, but
// where the dialect itself made two lines the same:
//
//   - A start without members is signed as a login is. Of a start that has members
//     this form is accepted only by who asks for it.
//   - A start with X alone is signed as a published signer signs that the history of
//     the conversation X is read: an app that lets its users name members freely
//     lets them read the histories that they name, as far as they may read them at all.
//   - The lines do not say which of their parts is what. A nonce that is itself a
//     time of these hours may be taken for the timestamp, and what stands before
//     it for a member: so in the documented form of a history, with the nonce first, for
//     a start with X alone. Signers should make nonces that are no numbers.
package leansign
