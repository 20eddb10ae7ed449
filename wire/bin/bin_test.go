package bin

import (
	"errors"
	"testing"
)

func TestRoundTrip(t *testing.T) {
	b := AppendUvarint(nil, 300)
	b = AppendVarint(b, -5)
	b = AppendString(b, "tom")
	b = AppendString(b, []byte{1, 2})
	b = AppendBool(b, true)

	r := NewReader(b)
	if got := r.Uvarint(); got != 300 {
		t.Errorf("uvarint %d, want 300", got)
	}
	if got := r.Varint(); got != -5 {
		t.Errorf("varint %d, want -5", got)
	}
	if got := r.String(); got != "tom" {
		t.Errorf("string %q, want tom", got)
	}
	if got := r.Bytes(); string(got) != "\x01\x02" {
		t.Errorf("bytes %v, want 1 2", got)
	}
	if !r.Bool() {
		t.Error("bool false, want true")
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestStrict(t *testing.T) {
	for _, c := range []struct {
		name  string
		input []byte
		read  func(*Reader)
		want  error
	}{
		{"left over", []byte{1, 2}, func(r *Reader) { r.Byte() }, ErrTrailing},
		{"string longer than the input", []byte{200, 1, 'x'}, func(r *Reader) { _ = r.String() }, ErrShort},
		{"more items than bytes", []byte{9, 1}, func(r *Reader) { r.Count(100) }, ErrRange},
		{"more items than allowed", []byte{3, 1, 1, 1}, func(r *Reader) { r.Count(2) }, ErrRange},
		{"a bool that is 2", []byte{2}, func(r *Reader) { r.Bool() }, ErrRange},
		{"nothing", nil, func(r *Reader) { r.Uint64() }, ErrShort},
		{"a length past 63 bits", []byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 1}, func(r *Reader) { r.Bytes() }, ErrShort},
	} {
		r := NewReader(c.input)
		c.read(r)
		if err := r.Close(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte{3, 't', 'o', 'm'}, uint8(0))
	f.Fuzz(func(_ *testing.T, b []byte, op uint8) {
		r := NewReader(b)
		for range 8 {
			switch op % 6 {
			case 0:
				r.Bytes()
			case 1:
				r.Uvarint()
			case 2:
				r.Count(1 << 20)
			case 3:
				r.Uint32()
			case 4:
				r.Bool()
			default:
				r.Varint()
			}
			op = op*7 + 1
		}
		_ = r.Close()
	})
}
