package node

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/wire"
)

// web asks a node over HTTP, as the app of the tests.
func (c *testCluster) web(n *testNode, method, path, body, key string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("X-Quorate-App", testApp)
	r.Header.Set("Authorization", "Bearer "+key)
	rw := httptest.NewRecorder()
	n.node.web().Plain.ServeHTTP(rw, r)
	return rw
}

// TestAppSettings changes settings at one node and sees them at another.
func TestAppSettings(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		for _, step := range []struct {
			body string
			code int
			want map[string]string
		}{
			{`{"settings":{"leanmessage.edit":"on","leanmessage.limit.online":"7"}}`, 200, map[string]string{"leanmessage.enabled": "on", "leanmessage.edit": "on", "leanmessage.limit.online": "7"}},
			{`{"settings":{"leanmessage.edit":"","leanmessage.recall":"on"}}`, 200, map[string]string{"leanmessage.enabled": "on", "leanmessage.limit.online": "7", "leanmessage.recall": "on"}},
			{`{"settings":{"leanmessage.edit":"perhaps"}}`, 400, nil},
			{`{"settings":{"edit":"on"}}`, 400, nil},
			{`{"settings":`, 400, nil},
		} {
			rw := c.web(c.nodes[0], http.MethodPatch, "/v1/app", step.body, testMaster)
			var info AppInfo
			if err := json.Unmarshal(rw.Body.Bytes(), &info); err != nil {
				t.Fatal(err)
			}
			if rw.Code != step.code || step.code == 200 && !maps.Equal(info.Settings, step.want) {
				t.Errorf("%s: %d %s, want %d and %v", step.body, rw.Code, rw.Body, step.code, step.want)
			}
		}
		time.Sleep(time.Second) // of the bubble's clock
		if app, _ := c.nodes[2].node.table().App(testApp); app.Settings["leanmessage.recall"] != "on" || len(app.Settings) != 3 {
			t.Errorf("the third node has the settings %v", app.Settings)
		}
		if rw := c.web(c.nodes[1], http.MethodGet, "/v1/app", "", testMaster); strings.Contains(rw.Body.String(), "key") || !strings.Contains(rw.Body.String(), testApp) {
			t.Errorf("GET /v1/app: %s, want the app without its keys", rw.Body)
		}
		for _, path := range []string{"/v1/app", "/v1/apps"} {
			for _, method := range []string{http.MethodGet, http.MethodPatch, http.MethodPost} {
				if rw := c.web(c.nodes[0], method, path, `{}`, testKey); rw.Code != http.StatusUnauthorized && rw.Code != http.StatusMethodNotAllowed {
					t.Errorf("%s %s without the master key: %d", method, path, rw.Code)
				}
			}
		}
		rw := c.web(c.nodes[0], http.MethodPost, "/v1/apps", `{"name":"second","settings":{"leanmessage.roles":"on"}}`, testMaster)
		var made AppInfo
		if err := json.Unmarshal(rw.Body.Bytes(), &made); err != nil || rw.Code != 200 || made.Key == "" || made.MasterKey == "" {
			t.Fatalf("POST /v1/apps: %d %s", rw.Code, rw.Body)
		}
		if app, ok := c.nodes[0].node.table().App(made.ID); !ok || app.Name != "second" || string(app.Key) != made.Key || app.Settings["leanmessage.roles"] != "on" {
			t.Errorf("the app is %+v", app)
		}
		if made.ID == wire.AppID(testApp) {
			t.Error("it is the old app")
		}
	})
}
