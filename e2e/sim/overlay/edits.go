package overlay

import (
	"errors"
	"fmt"
	"io/fs"
)

// edit replaces a piece of a file of Go's tree.
type edit struct {
	why      string
	old, new string
}

// edits are by file, below the tree's src.
//
//nolint:gochecknoglobals // a table
var edits = map[string][]edit{
	"runtime/rand.go": {
		{
			why: "strconv reads the seed",
			old: "\t\"internal/runtime/math\"\n",
			new: "\t\"internal/runtime/math\"\n\t\"internal/strconv\"\n",
		},
		{
			why: "keys of hashes, and with them the order in large maps, are the same in each process",
			old: "\tglobalRand.state.Init(*seed)\n",
			new: "\t*seed = [32]byte{1}\n\tglobalRand.state.Init(*seed)\n",
		},
		{
			why: "walks over maps, and math/rand/v2",
			old: "\tc := &mp.chacha8\n\tfor {",
			new: "\tif gp := mp.curg; gp != nil && gp.bubble != nil {\n\t\treturn simNext()\n\t}\n\tc := &mp.chacha8\n\tfor {",
		},
	},
	"runtime/select.go": {{
		why: "which ready case a select takes",
		old: "j := cheaprandn(uint32(norder + 1))",
		new: "j := simCheaprandn(uint32(norder + 1))",
	}},
	"runtime/time.go": {{
		why: "the order of timers of one moment",
		old: "t.rand = cheaprand()",
		new: "t.rand = simCheaprand()",
	}},
	"runtime/synctest.go": {{
		why: "each bubble begins the stream anew",
		old: "\tgp.bubble = bubble\n",
		new: "\tsimReset()\n\tgp.bubble = bubble\n",
	}},
	"runtime/sema.go": {{
		why: "a mutex is never handed over out of turn because somebody waits for more than a real millisecond",
		old: "func internal_sync_nanotime() int64 {\n",
		new: "func internal_sync_nanotime() int64 {\n\tif getg().bubble != nil {\n\t\treturn 0\n\t}\n",
	}},
	"runtime/proc.go": {
		{
			why: "no goroutine is interrupted because it runs for long",
			old: "const forcePreemptNS = 10 * 1000 * 1000",
			new: "const forcePreemptNS = 3600 * 1000 * 1000 * 1000",
		},
		{
			// Every 61st time, counted from the start of the process.
			why: "who has called Gosched goes on when all others have run, and not now and then before",
			old: "if pp.schedtick%61 == 0 && !sched.runq.empty() {",
			new: "if false && !sched.runq.empty() {",
		},
	},
	"context/context.go": {
		{
			why: "slices puts children in order",
			old: "\t\"internal/reflectlite\"\n",
			new: "\t\"internal/reflectlite\"\n\t\"slices\"\n",
		},
		{
			why: "children are numbered",
			old: "\tchildren map[canceler]struct{} //",
			new: "\tlastChild uint64\n\tchildren map[canceler]uint64 //",
		},
		{
			why: "children are numbered",
			old: "p.children = make(map[canceler]struct{})",
			new: "p.children = make(map[canceler]uint64)",
		},
		{
			why: "children are numbered",
			old: "p.children[child] = struct{}{}",
			new: "p.lastChild++\n\t\t\tp.children[child] = p.lastChild",
		},
		{
			why: "children end in the order in which they were made, not by where they lie in memory",
			old: "for child := range c.children {",
			new: "for _, child := range simInOrder(c.children) {",
		},
	},
}

// added is what stands at the end of files.
//
//nolint:gochecknoglobals // a table
var added = map[string]string{"runtime/rand.go": stream, "context/context.go": inOrder}

const inOrder = `
func simInOrder(children map[canceler]uint64) []canceler {
	ordered := make([]canceler, 0, len(children))
	for child := range children {
		ordered = append(ordered, child)
	}
	slices.SortFunc(ordered, func(a, b canceler) int { return int(children[a]) - int(children[b]) })
	return ordered
}
`

// stream is added to rand.go. Plain cheaprand stays as it is: the runtime also
// calls it for things of its own, at moments that differ from run to run.
const stream = `
// simState is where the stream of the bubble is. There is one bubble at a time,
// and one processor.
var simState uint64

// simNext is splitmix64.
//
//go:nosplit
func simNext() uint64 {
	simState += 0x9e3779b97f4a7c15
	z := simState
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

func simReset() {
	simState = 1
	if v, err := strconv.Atoi(gogetenv("` + SeedVariable + `")); err == nil {
		simState = uint64(v)
	}
}

//go:nosplit
func simCheaprand() uint32 {
	if gp := getg().m.curg; gp != nil && gp.bubble != nil {
		return uint32(simNext() >> 32)
	}
	return cheaprand()
}

//go:nosplit
func simCheaprandn(n uint32) uint32 {
	return uint32((uint64(simCheaprand()) * uint64(n)) >> 32)
}
`

// change returns the changed files of a tree, or every edit that does not fit.
func change(src fs.FS) (map[string]string, error) {
	changed := map[string]string{}
	var errs []error
	for _, name := range sorted(edits) {
		text, err := fs.ReadFile(src, name)
		if err != nil {
			errs = append(errs, fmt.Errorf("%w: %w", ErrNoFit, err))
			continue
		}
		changed[name], err = edited(name, string(text), edits[name])
		changed[name] += added[name]
		errs = append(errs, err)
	}
	return changed, errors.Join(errs...)
}
