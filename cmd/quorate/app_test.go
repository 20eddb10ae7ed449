package main

import (
	"strings"
	"testing"

	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/node/door"
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
		{`Run "quorate app set --help"`, []string{"app", "set"}},
		{`Run "quorate user ban --help"`, []string{"user", "ban"}},
		{`Run "quorate --help"`, []string{"use"}},
		{"the user's id", []string{"user", "ban", ""}},
	} {
		code, out, errs := try(t, c.args...)
		if code != exitMisused || out != "" || !strings.Contains(errs, c.want) {
			t.Errorf("%v exits with %d and says %q, want %q", c.args, code, errs, c.want)
		}
	}
}

// TestAppFitsATerminal: no line of the list is longer than 80 characters, and
// what is set is told from what is not.
func TestAppFitsATerminal(t *testing.T) {
	var out strings.Builder
	e := &env{stdout: &out}
	a := &node.AppInfo{ID: "an-app-id", Settings: map[string]string{"leanmessage.edit": "on", "of.newer-nodes": "x"}}
	if err := e.printApp(a, func(string) bool { return true }); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if len(line) > 80 {
			t.Errorf("a line of %d characters: %s", len(line), line)
		}
	}
	for _, want := range []string{
		"\nleanmessage.edit = on\n    senders may change their messages (on, off; default off)\n",
		"\nleanmessage.recall = off\n    senders may recall their messages (on, off)\n",
		"\nof.newer-nodes = x\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it prints\n%s\nwant %q in it", &out, want)
		}
	}
	if n := strings.Count(out.String(), "\nleanmessage."); n != len(door.SettingsList()) {
		t.Errorf("%d settings are printed, want all %d", n, len(door.SettingsList()))
	}
	out.Reset()
	if err := e.printApp(&node.AppInfo{ID: "an-app-id"}, named(map[string]string{"leanmessage.edit": ""})); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\nleanmessage."); n != 1 {
		t.Errorf("%d settings are printed, want the one that was named:\n%s", n, &out)
	}
}
