package jsonop

// Op is what is done. Its numbers are durable: add at the end, never renumber.
type Op uint8

// The operations. The zero value is none.
const (
	Set       Op = 1 // the value is what stands there
	Delete    Op = 2 // nothing does
	Add       Op = 3 // the value's elements are added to the list's end
	AddUnique Op = 4 // and so are those that are not in it yet
	Remove    Op = 5 // all elements equal to one of the value's are taken out
	Increment Op = 6 // the value is added to the number
	BitAnd    Op = 7 // of two integers
	BitOr     Op = 8
	BitXor    Op = 9
	opEnd     Op = 10
)
