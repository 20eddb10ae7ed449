// Package leanpb is the LeanMessage dialect as protobuf messages, generated from
// wire/leanmessage.proto by "make generate".
//
// What always holds: presence is kept both ways, strings are not checked to be
// UTF-8, and what is not known, a field or a value, survives decoding.
package leanpb
