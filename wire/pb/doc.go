// Package pb is generated from wire/quorate.proto: the frames of the native
// protocol. Run "make generate" after a change of the schema.
package pb
