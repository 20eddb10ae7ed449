// Package jsonop changes values inside JSON documents: it sets and deletes,
// counts, and adds to and removes from lists, at a path of keys.
//
// It is pure, and its answers depend on nothing but what it is given: replicas
// that apply the same operation to the same bytes get the same bytes. Objects are
// written with their keys in order, without spaces; numbers that no operation has
// touched keep their digits.
package jsonop
