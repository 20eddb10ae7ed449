package where

import (
	"regexp"
	"regexp/syntax"
	"strings"
)

// operator parses one operator on a key; nil: it belongs to another one beside
// it.
func (p *parser) operator(at path, op string, ops map[string]any, depth int) (condition, error) {
	arg := ops[op]
	switch op {
	case "$eq":
		return &field{at: at, op: equal, value: normal(arg)}, nil
	case "$ne":
		return not{&field{at: at, op: equal, value: normal(arg)}}, nil
	case "$lt", "$lte", "$gt", "$gte":
		return ordering(at, op, arg), nil
	case "$in", "$nin", "$all":
		return list(at, op, arg)
	case "$size":
		n, ok := arg.(float64)
		if !ok || n < 0 || n != float64(int(n)) {
			return nil, invalid("$size wants a whole number")
		}
		return &field{at: at, op: size, count: int(n)}, nil
	case "$exists":
		return exists(at, arg)
	case "$regex":
		return p.regex(at, arg, ops["$options"])
	case "$options":
		if _, ok := ops["$regex"]; !ok {
			return nil, invalid("$options without $regex")
		}
		return nil, nil
	case "$not":
		return p.negated(at, arg, depth)
	default:
		return p.geo(at, op, ops)
	}
}

func ordering(at path, op string, arg any) *field {
	f := &field{at: at, value: normal(arg)}
	switch op {
	case "$lt":
		f.op = less
	case "$lte":
		f.op = lessEqual
	case "$gt":
		f.op = greater
	default:
		f.op = greaterEqual
	}
	return f
}

func (p *parser) negated(at path, arg any, depth int) (condition, error) {
	ops, ok := arg.(map[string]any)
	if !ok || !operators(ops) || depth >= maxDepth {
		return nil, invalid("$not wants operators")
	}
	conditions, err := p.field(at, ops, depth+1)
	if err != nil {
		return nil, err
	}
	return not{all(conditions)}, nil
}

func list(at path, op string, arg any) (condition, error) {
	listed, ok := arg.([]any)
	if !ok {
		return nil, invalid("%s wants a list", op)
	}
	if len(listed) > maxListed {
		return nil, invalid("%s lists %d values, at most %d are read", op, len(listed), maxListed)
	}
	f := &field{at: at, op: in, values: make([]any, len(listed))}
	for i, v := range listed {
		f.values[i] = normal(v)
	}
	switch op {
	case "$nin":
		f.index()
		return not{f}, nil
	case "$all":
		f.op = contains
	default:
		f.index()
	}
	return f, nil
}

func exists(at path, arg any) (condition, error) {
	var want bool
	switch v := arg.(type) {
	case bool:
		want = v
	case float64:
		want = v != 0
	default:
		return nil, invalid("$exists wants true or false")
	}
	f := &field{at: at, op: present}
	if !want {
		return not{f}, nil
	}
	return f, nil
}

func (p *parser) regex(at path, arg, options any) (condition, error) {
	pattern, ok := arg.(string)
	if !ok || len(pattern) > maxRegex {
		return nil, invalid("$regex wants a text of at most %d bytes", maxRegex)
	}
	flags, ok := options.(string)
	if options != nil && !ok {
		return nil, invalid("$options wants a text")
	}
	set := ""
	for _, flag := range flags {
		switch flag {
		case 'i', 'm', 's':
			if !strings.ContainsRune(set, flag) {
				set += string(flag)
			}
		case 'u': // texts are Unicode anyway
		default:
			return nil, invalid("$options %q is not supported", string(flag))
		}
	}
	if looks := lookaround(pattern); looks != "" {
		return nil, invalid("$regex: %s is not supported: expressions do not look around", looks)
	}
	if set != "" {
		pattern = "(?" + set + ")" + pattern
	}
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		return nil, invalid("$regex: %v", err)
	}
	if p.steps += stepsOf(pattern); p.steps > maxSteps {
		return nil, invalid("$regex: the expressions repeat too much")
	}
	return &field{at: at, op: matches, regex: compiled}, nil
}

// stepsOf is how many steps matching an expression may take for a character: a
// short one can repeat what repeats something.
func stepsOf(pattern string) int {
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0 // it is compiled already
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return 0
	}
	return len(prog.Inst)
}

// lookaround finds what other dialects have and RE2 has not, to name it; the
// compiler would only complain of its first characters.
func lookaround(pattern string) string {
	for i := 0; i < len(pattern); i++ {
		rest := pattern[i:]
		switch {
		case strings.HasPrefix(rest, `\Q`):
			end := strings.Index(rest, `\E`)
			if end < 0 {
				return ""
			}
			i += end + 1
		case rest[0] == '\\':
			i++
		default:
			for _, looks := range [...]string{"(?=", "(?!", "(?<=", "(?<!", "(?>"} {
				if strings.HasPrefix(rest, looks) {
					return looks + "…)"
				}
			}
		}
	}
	return ""
}
