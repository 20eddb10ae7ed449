package overlay

import (
	"errors"
	"fmt"
	"io/fs"
)

// edit replaces a piece of a file of the runtime.
type edit struct {
	why      string
	old, new string
}

// edits are by file, below runtime.
var edits = map[string][]edit{
	"rand.go": {
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
	"select.go": {{
		why: "which ready case a select takes",
		old: "j := cheaprandn(uint32(norder + 1))",
		new: "j := simCheaprandn(uint32(norder + 1))",
	}},
	"time.go": {{
		why: "the order of timers of one moment",
		old: "t.rand = cheaprand()",
		new: "t.rand = simCheaprand()",
	}},
	"synctest.go": {{
		why: "each bubble begins the stream anew",
		old: "\tgp.bubble = bubble\n",
		new: "\tsimReset()\n\tgp.bubble = bubble\n",
	}},
	"sema.go": {{
		why: "a mutex is never handed over out of turn because somebody waits for more than a real millisecond",
		old: "func internal_sync_nanotime() int64 {\n",
		new: "func internal_sync_nanotime() int64 {\n\tif getg().bubble != nil {\n\t\treturn 0\n\t}\n",
	}},
	"proc.go": {{
		why: "no goroutine is interrupted because it runs for long",
		old: "const forcePreemptNS = 10 * 1000 * 1000",
		new: "const forcePreemptNS = 3600 * 1000 * 1000 * 1000",
	}},
}

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

// change returns the changed files of a runtime, or every edit that does not fit.
func change(runtime fs.FS) (map[string]string, error) {
	changed := map[string]string{}
	var errs []error
	for _, name := range sorted(edits) {
		text, err := fs.ReadFile(runtime, name)
		if err != nil {
			errs = append(errs, fmt.Errorf("%w: %w", ErrNoFit, err))
			continue
		}
		changed[name], err = edited(name, string(text), edits[name])
		errs = append(errs, err)
	}
	changed["rand.go"] += stream
	return changed, errors.Join(errs...)
}
