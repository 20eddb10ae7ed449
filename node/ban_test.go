package node

import (
	"errors"
	"net/http"
	"testing"

	"github.com/quorate/quorate/node/leanmessage"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

// TestLM015_BannedUser: whom the app bans has no session any more and gets none,
// at any node and in any dialect, until he is let in again.
func TestLM015_BannedUser(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		eve := c.lean("eve", c.nodes[0], transport.LeanProtobuf3)
		st := eve.open().GetSessionMessage().GetSt()
		if rw := c.web(c.nodes[1], http.MethodPut, "/v1/users/eve/ban", "", testMaster); rw.Code != http.StatusOK {
			t.Fatalf("the ban comes to %d %s", rw.Code, rw.Body)
		}
		eve.wantExpelled(leanmessage.CodeKickedByApp, "banned")
		for name, reply := range map[string]*leanpb.GenericCommand{
			"anew": c.tryOpen("eve", c.nodes[2]), "by his token": c.tryOpen("eve", c.nodes[2], returning(st)), "with a tag": c.tryOpen("eve", c.nodes[1], tagged("web", "d")),
		} {
			if code := reply.GetErrorMessage().GetCode(); code != leanmessage.CodeBlacklisted && name != "by his token" || code == 0 {
				t.Errorf("who opens %s gets %v, want %d", name, reply, leanmessage.CodeBlacklisted)
			}
		}
		_, err := c.tryDial("eve", c.nodes[2], nil)
		if e, ok := errors.AsType[*wire.Error](err); !ok || e.Code != wire.CodeForbidden {
			t.Errorf("a native sign-in comes to %v, want forbidden", err)
		}
		if rw := c.web(c.nodes[0], http.MethodDelete, "/v1/users/eve/ban", "", testMaster); rw.Code != http.StatusOK {
			t.Fatalf("to let him in again comes to %d %s", rw.Code, rw.Body)
		}
		if reply := c.tryOpen("eve", c.nodes[2]); reply.GetOp() != leanpb.OpType_opened {
			t.Errorf("once he may again he gets %v", reply)
		}
		for _, step := range []struct {
			path, key string
			code      int
		}{{"/v1/users/%00/ban", testMaster, 400}, {"/v1/users/eve/ban", testKey, 401}} {
			if rw := c.web(c.nodes[0], http.MethodPut, step.path, "", step.key); rw.Code != step.code {
				t.Errorf("PUT %s comes to %d %s, want %d", step.path, rw.Code, rw.Body, step.code)
			}
		}
	})
}
