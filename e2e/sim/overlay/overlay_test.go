package overlay

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// program prints what Go decides at random in a bubble.
const program = `package m

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestPrint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := map[string]int{}
		for i := range 100 {
			m[fmt.Sprint("key ", i)] = i
		}
		for _, v := range m {
			fmt.Print(v, " ")
		}
		a, b := make(chan int, 100), make(chan int, 100)
		for range 100 {
			a <- 1
			b <- 2
		}
		for range 100 {
			select {
			case v := <-a:
				fmt.Print(v)
			case v := <-b:
				fmt.Print(v)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for i := range 30 {
			child, _ := context.WithCancel(ctx)
			all.Go(func() {
				<-child.Done()
				fmt.Print(" child ", i)
			})
		}
		cancel()
		all.Wait()
		for i := range 20 {
			time.AfterFunc(time.Second, func() { fmt.Print(" timer ", i) })
		}
		time.Sleep(2 * time.Second)
		fmt.Println(rand.Uint64())
	})
}
`

// TestReplay: with the overlay equal seeds do equal things, and others differ;
// without it, equal seeds differ too, or the test tests nothing.
func TestReplay(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a runtime")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module m\n\ngo 1.26\n", "m_test.go": program} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path, err := Write(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	build := func(name string, args ...string) func(seed uint64) string {
		binary := filepath.Join(dir, name)
		cmd := exec.CommandContext(t.Context(), "go", append([]string{"test", "-c", "-o", binary}, args...)...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build: %v\n%s", err, out)
		}
		return func(seed uint64) string {
			cmd := exec.CommandContext(t.Context(), binary, "-test.run=TestPrint")
			cmd.Env = append(os.Environ(), Environment(seed)...)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("run: %v\n%s", err, out)
			}
			said, _, _ := strings.Cut(string(out), "\n")
			return said
		}
	}

	with := build("with", "-overlay", path)
	first := with(1)
	for range 5 {
		if again := with(1); again != first {
			t.Fatalf("seed 1 does\n%s\nand then\n%s", first, again)
		}
	}
	if with(2) == first {
		t.Errorf("seed 2 does what seed 1 does: %s", first)
	}
	without := build("without")
	if one, two := without(1), without(1); one == two {
		t.Error("it is the same without the overlay too: the test tests nothing")
	}
}

func TestAnotherGo(t *testing.T) {
	src := fstest.MapFS{}
	for name := range edits {
		src[name] = &fstest.MapFile{Data: []byte("package runtime\n")}
	}
	delete(src, "runtime/time.go")
	_, err := change(src)
	if !errors.Is(err, ErrNoFit) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"which ready case a select takes", "time.go", "walks over maps"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
}
