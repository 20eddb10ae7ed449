// Package leanrest is the REST door of LeanMessage: what back ends of apps, and
// clients for a few questions, ask for under /1.1 and /1.2.
//
// The table of routes is the center: each route says who may ask, what it wants
// and what it answers, and a function does it. The same table is the OpenAPI
// document that the door serves. A request is let in (which app, which key, how
// large, how often), then handled, then answered with JSON; an error is
//
//	{"code":4401,"error":"for people"}
//
// with the codes of the dialect. The door holds no truth: what it changes and
// asks goes through [door.Host].
//
// What always holds: nothing is done before the request has shown a key of its
// app; what only the app's back end may do wants the master key; a route that is
// not here is answered with an error, never with an empty success.
package leanrest
