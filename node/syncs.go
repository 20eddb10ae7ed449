package node

import (
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/histogram"
)

// meteredFS measures how long the disk takes for each sync of a write-ahead log:
// that is what every acknowledgement waits for, and no doing of ours.
type meteredFS struct {
	vfs.FS

	syncs *histogram.Histogram
}

// Create implements vfs.FS.
func (m meteredFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := m.FS.Create(name, category)
	return m.metered(name, f, err)
}

// ReuseForWrite implements vfs.FS.
func (m meteredFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := m.FS.ReuseForWrite(oldname, newname, category)
	return m.metered(newname, f, err)
}

// Unwrap implements vfs.FS.
func (m meteredFS) Unwrap() vfs.FS { return m.FS }

func (m meteredFS) metered(name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil || !strings.HasSuffix(name, ".log") {
		return f, err
	}
	return meteredFile{f, m.syncs}, nil
}

type meteredFile struct {
	vfs.File

	syncs *histogram.Histogram
}

// Sync implements vfs.File.
func (f meteredFile) Sync() error {
	defer f.since(time.Now())
	return f.File.Sync()
}

// SyncData implements vfs.File.
func (f meteredFile) SyncData() error {
	defer f.since(time.Now())
	return f.File.SyncData()
}

func (f meteredFile) since(began time.Time) { f.syncs.Record(time.Since(began)) }
