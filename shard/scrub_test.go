package shard

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate/quorate/virtual"
)

// fakeRows are rows of a slot that hash to a number.
type fakeRows struct {
	hash   uint64
	bytes  int
	err    error
	closed int
}

func (f *fakeRows) Hash(pace func(bytes int) bool) (uint64, bool, error) {
	for left := f.bytes; left > 0; left -= 1000 {
		if !pace(min(left, 1000)) {
			return 0, false, nil
		}
	}
	return f.hash, f.err == nil, f.err
}

func (f *fakeRows) Close() error { f.closed++; return nil }

func TestScrubberPacesAndReports(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		s := OpenScrubber(ScrubOptions{BytesPerSecond: 1_000_000})
		defer s.Close()
		damaged := errors.New("bad checksum")
		jobs := []*fakeRows{{hash: 11, bytes: 5_000_000}, {err: damaged}, {hash: 33}}
		began := time.Now()
		for i, rows := range jobs {
			s.add(scrubJob{ScrubResult{ID: uint64(i), Index: 100}, rows})
		}
		for len(s.Results()) < 3 {
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(began); took < 4500*time.Millisecond || took > 6*time.Second {
			t.Errorf("5 MB at 1 MB/s took %v", took)
		}
		got := s.Results()
		if got[0].Hash != 11 || got[0].Err != nil || !errors.Is(got[1].Err, damaged) || got[2].Hash != 33 {
			t.Errorf("got %+v", got)
		}
		for i, rows := range jobs {
			if rows.closed != 1 {
				t.Errorf("rows %d were closed %d times", i, rows.closed)
			}
		}
	})
}

func TestScrubberIsBounded(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		s := OpenScrubber(ScrubOptions{BytesPerSecond: 1000, Waiting: 2, Kept: 3})
		running := &fakeRows{bytes: 10_000_000}
		s.add(scrubJob{ScrubResult{ID: 1}, running})
		synctest.Wait()
		waiting := []*fakeRows{{}, {}, {}, {}}
		for i, rows := range waiting {
			s.add(scrubJob{ScrubResult{ID: uint64(2 + i)}, rows})
		}
		if got := s.Results(); len(got) != 2 || got[0].ID != 4 || !errors.Is(got[0].Err, ErrScrubSkipped) {
			t.Errorf("got %+v, want the third and fourth skipped at once", got)
		}
		s.Close()
		s.add(scrubJob{ScrubResult{ID: 9}, &fakeRows{}})
		got := s.Results()
		if len(got) != 3 || got[2].ID != 9 {
			t.Errorf("kept %+v, want the newest three", got)
		}
		for i, rows := range append(waiting, running) {
			if rows.closed != 1 {
				t.Errorf("rows %d were closed %d times", i, rows.closed)
			}
		}
	})
}
