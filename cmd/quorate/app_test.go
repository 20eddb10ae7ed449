package main

import (
	"strings"
	"testing"
)

// TestAppMisuse: settings that no node would take are refused before one is
// asked.
func TestAppMisuse(t *testing.T) {
	t.Setenv("QUORATE_PROFILE", t.TempDir()+"/none.json")
	for _, c := range []struct {
		want string
		args []string
	}{
		{`there is no setting "edit", but "leanmessage.edit"`, []string{"app", "set", "edit=on"}},
		{"want on or off", []string{"app", "set", "leanmessage.edit=maybe"}},
		{"want on or off", []string{"app", "create", "name", "--setting", "leanmessage.edit=maybe"}},
		{"--app-setting: there is no setting", []string{"dev", "--app-setting", "x=y"}},
		{"no server is known", []string{"app", "set", "leanmessage.edit="}},
		{"no server is known", []string{"app", "show"}},
	} {
		code, out, errs := try(t, c.args...)
		if code != exitMisused || out != "" || !strings.Contains(errs, c.want) {
			t.Errorf("%v exits with %d and says %q, want %q", c.args, code, errs, c.want)
		}
	}
}
