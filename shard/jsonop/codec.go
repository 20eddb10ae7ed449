package jsonop

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
)

// Decode reads one JSON value: nil, a bool, a string, a json.Number, a []any or a
// map[string]any. Numbers keep their digits; of two equal keys the last counts.
func Decode(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("decode JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("decode JSON: something follows the value")
	}
	return v, nil
}

// Encode writes a value as Decode returns it: keys in order, no spaces, and no
// escapes but those that JSON wants.
func Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode JSON: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// appendKey appends bytes that two values have in common exactly when they are
// equal. Numbers are equal by their value, however they are written.
func appendKey(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, 'n')
	case bool:
		return strconv.AppendBool(b, v)
	case string:
		return append(strconv.AppendInt(append(b, '"'), int64(len(v)), 10), ":"+v...)
	case json.Number:
		return append(append(append(b, '#'), numberKey(string(v))...), ';')
	case []any:
		b = append(b, '[')
		for _, e := range v {
			b = appendKey(b, e)
		}
		return append(b, ']')
	case map[string]any:
		b = append(b, '{')
		for _, key := range slices.Sorted(maps.Keys(v)) {
			b = appendKey(appendKey(b, key), v[key])
		}
		return append(b, '}')
	default:
		return b
	}
}

// maxExact is up to where a float is exactly the integer that it looks like.
const maxExact = 1 << 53

func numberKey(text string) string {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return strconv.FormatInt(n, 10)
	}
	f, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil:
		return text
	case f == math.Trunc(f) && math.Abs(f) < maxExact:
		return strconv.FormatInt(int64(f), 10)
	default:
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
}
