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
// whichever fits; and no form of one action is a form of another, but where the
// dialect itself made them the same (a start without members is signed as a
// login is, which is why that form is accepted only by who asks for it).
package leansign
