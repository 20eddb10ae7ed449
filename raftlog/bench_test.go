package raftlog

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
)

// BenchmarkStoreLogs appends entries of 256 B, each shard one at a time, on the
// disk below the temporary directory.
func BenchmarkStoreLogs(b *testing.B) {
	for _, shards := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("shards=%d", shards), func(b *testing.B) {
			s, err := Open(b.TempDir(), vfs.Default, Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer closeStores(b, s)
			var next atomic.Uint32
			data := make([]byte, 256)
			b.ReportAllocs()
			b.SetParallelism(max(1, shards/2)) // times GOMAXPROCS
			b.RunParallel(func(pb *testing.PB) {
				g, err := s.Group(next.Add(1))
				if err != nil {
					b.Error(err)
					return
				}
				for i := uint64(1); pb.Next(); i++ {
					if err := g.StoreLogs([]*raft.Log{{Index: i, Term: 1, Data: data}}); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkGetLog reads a recent entry, as raft does for every follower.
func BenchmarkGetLog(b *testing.B) {
	s := openStores(b, vfs.NewMem(), Options{})
	defer closeStores(b, s)
	g, err := s.Group(1)
	if err != nil {
		b.Fatal(err)
	}
	if err := g.StoreLogs(entries(1, 1000, 1)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var l raft.Log
	for i := uint64(0); b.Loop(); i++ {
		if err := g.GetLog(i%1000+1, &l); err != nil {
			b.Fatal(err)
		}
	}
}
