package jsonop

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// do applies an operation to a document given as text; "" is nothing.
func do(doc, path string, op Op, value string) (string, error) {
	var old, by any
	var err error
	if doc != "" {
		if old, err = Decode([]byte(doc)); err != nil {
			return "", err
		}
	}
	if value != "" {
		if by, err = Decode([]byte(value)); err != nil {
			return "", err
		}
	}
	var keys []string
	if path != "" {
		keys = strings.Split(path, ".")
	}
	changed, there, err := Apply(old, doc != "", keys, op, by)
	if err != nil || !there {
		return "", err
	}
	b, err := Encode(changed)
	return string(b), err
}

func TestLM025_Operations(t *testing.T) {
	for _, tc := range []struct {
		name  string
		doc   string
		path  string
		op    Op
		value string
		want  string
		err   error
	}{
		{"set here", `1`, "", Set, `{"b":2,"a":[1, 2]}`, `{"a":[1,2],"b":2}`, nil},
		{"set makes objects", ``, "a.b.c", Set, `"x"`, `{"a":{"b":{"c":"x"}}}`, nil},
		{"set beside", `{"z":1e2,"a":{"y":0.10}}`, "a.b", Set, `null`, `{"a":{"b":null,"y":0.10},"z":1e2}`, nil},
		{"set keeps what HTML would escape", ``, "a", Set, `"<&>"`, `{"a":"<&>"}`, nil},
		{"set through a number", `{"a":1}`, "a.b", Set, `2`, ``, ErrPath},
		{"set through null", `{"a":null}`, "a.b", Set, `2`, ``, ErrPath},
		{"set at what is no text", ``, "a.\xff", Set, `2`, ``, ErrPath},
		{"delete", `{"a":{"b":1,"c":2}}`, "a.b", Delete, ``, `{"a":{"c":2}}`, nil},
		{"delete what is not there makes nothing", `{"c":1}`, "a.b", Delete, ``, `{"c":1}`, nil},
		{"delete in nothing", ``, "a.b", Delete, ``, ``, nil},
		{"delete here", `{"a":1}`, "", Delete, ``, ``, nil},
		{"add", `{"l":[1]}`, "l", Add, `[1,"x"]`, `{"l":[1,1,"x"]}`, nil},
		{"add makes a list", ``, "l", Add, `[{}]`, `{"l":[{}]}`, nil},
		{"add to a string", `{"l":"s"}`, "l", Add, `[1]`, ``, ErrValue},
		{"add no list", `{"l":[1]}`, "l", Add, `1`, ``, ErrValue},
		{
			"add unique", `{"l":[1,"a",{"x":1,"y":[2]}]}`, "l", AddUnique, `[1.0,"b","b",{"y":[2],"x":1e0},"1",true]`,
			`{"l":[1,"a",{"x":1,"y":[2]},"b","1",true]}`, nil,
		},
		{"add unique of nothing", ``, "l", AddUnique, `[]`, `{"l":[]}`, nil},
		{"remove", `{"l":[1,"a",1,{"x":1}]}`, "l", Remove, `[1,{"x":1.0}]`, `{"l":["a"]}`, nil},
		{"remove all", `{"l":[1]}`, "l", Remove, `[1]`, `{"l":[]}`, nil},
		{"remove from nothing", `{}`, "l", Remove, `[1]`, `{}`, nil},
		{"count", `{"n":41}`, "n", Increment, `1`, `{"n":42}`, nil},
		{"count down", `{"n":41}`, "n", Increment, `-42`, `{"n":-1}`, nil},
		{"count by nothing", `{"n":41}`, "n", Increment, `0`, `{"n":41}`, nil},
		{"count from nothing", ``, "a.n", Increment, `7`, `{"a":{"n":7}}`, nil},
		{"count a fraction", `{"n":0.5}`, "n", Increment, `1`, `{"n":1.5}`, nil},
		{"count beyond 64 bits", `{"n":9223372036854775807}`, "n", Increment, `1`, `{"n":9223372036854776000}`, nil},
		{"count beyond all", `{"n":1e308}`, "n", Increment, `1e308`, ``, ErrValue},
		{"count a string", `{"n":"1"}`, "n", Increment, `1`, ``, ErrValue},
		{"count by a string", `{"n":1}`, "n", Increment, `"1"`, ``, ErrValue},
		{"and", `{"n":12}`, "n", BitAnd, `10`, `{"n":8}`, nil},
		{"or", `{"n":12}`, "n", BitOr, `10`, `{"n":14}`, nil},
		{"xor", `{"n":12}`, "n", BitXor, `10`, `{"n":6}`, nil},
		{"or of nothing", ``, "n", BitOr, `3`, `{"n":3}`, nil},
		{"or of a fraction", `{"n":1.5}`, "n", BitOr, `3`, ``, ErrValue},
		{"no operation", `1`, "", 0, `1`, ``, ErrOp},
		{"an operation of tomorrow", `1`, "", 10, `1`, ``, ErrOp},
	} {
		got, err := do(tc.doc, tc.path, tc.op, tc.value)
		if got != tc.want || !errors.Is(err, tc.err) {
			t.Errorf("%s: %q %s op %d %s is %q, %v, want %q, %v", tc.name, tc.doc, tc.path, tc.op, tc.value, got, err, tc.want, tc.err)
		}
	}
}

func TestDecodeIsStrict(t *testing.T) {
	for _, text := range []string{``, `{`, `1 2`, `{"a":1}x`, `nul`, `01`, `[1,]`} {
		if v, err := Decode([]byte(text)); err == nil {
			t.Errorf("%q decodes to %v", text, v)
		}
	}
}

func TestGet(t *testing.T) {
	doc, err := Decode([]byte(`{"a":{"b":null,"l":[1]}}`))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"a.b": "<nil> true", "a.x": "<nil> false", "a.l": "[1] true", "a.l.0": "<nil> false"} {
		v, ok := Get(doc, strings.Split(path, "."))
		if got := fmt.Sprint(v, " ", ok); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}

// FuzzApply gives arbitrary documents and operations: nothing may panic, what
// comes out must be JSON that decodes to the same again, and the same operation on
// the same bytes must give the same bytes.
func FuzzApply(f *testing.F) {
	f.Add([]byte(`{"a":{"l":[1,2.0,"x"]},"n":1e3}`), "a.l", uint8(AddUnique), []byte(`[2,"y",null]`))
	f.Add([]byte(`{"n":9223372036854775807}`), "n", uint8(Increment), []byte(`-0`))
	f.Add([]byte(`[]`), "", uint8(Remove), []byte(`[[],{}]`))
	f.Fuzz(func(t *testing.T, doc []byte, path string, op uint8, value []byte) {
		got, err := do(string(doc), path, Op(op), string(value))
		again, errAgain := do(string(doc), path, Op(op), string(value))
		if got != again || (err == nil) != (errAgain == nil) {
			t.Fatalf("%s %s op %d %s is %s, %v and then %s, %v", doc, path, op, value, got, err, again, errAgain)
		}
		if err != nil || got == "" {
			return
		}
		v, err := Decode([]byte(got))
		if err != nil {
			t.Fatalf("%s does not decode: %v", got, err)
		}
		if b, err := Encode(v); err != nil || string(b) != got {
			t.Fatalf("%s is encoded again to %s, %v", got, b, err)
		}
	})
}
