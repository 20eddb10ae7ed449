// Package lean is a client of the LeanMessage dialect for measurements. It says
// what the dialect's JavaScript SDK says and acknowledges as that does: once a
// second and conversation, with the times of the first and the last message.
//
// It asks nothing again and reopens nothing: a connection that fails is an error
// of the measurement.
package lean
