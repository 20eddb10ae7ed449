package node

import (
	"testing"

	"github.com/quorate/quorate/wire"
)

// TestHubAt: whatever is known, the tries of a row come to each voter soon, and
// the first of them to the one that is known.
func TestHubAt(t *testing.T) {
	for _, voters := range [][]wire.NodeID{{"n1"}, {"n1", "n2", "n3"}, {"n1", "n2", "n3", "n4", "n5"}} {
		for _, known := range append([]wire.NodeID{"", "n9"}, voters...) {
			if got := hubAt(known, voters, 0); known != "" && got != known {
				t.Errorf("known %q: the first try is at %s", known, got)
			}
			asked := map[wire.NodeID]bool{}
			for try := range 2 * len(voters) {
				asked[hubAt(known, voters, try)] = true
			}
			for _, v := range voters {
				if !asked[v] {
					t.Errorf("known %q, voters %v: %s is not asked", known, voters, v)
				}
			}
		}
	}
}
