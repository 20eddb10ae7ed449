package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/node/door"
)

type appCmd struct {
	Show   appShowCmd   `cmd:"" help:"Show an app and its settings."`
	Set    appSetCmd    `cmd:"" help:"Change settings of an app."`
	Create appCreateCmd `cmd:"" help:"Make an app, and print its keys."`
}

type appShowCmd struct {
	connection
	JSON bool `name:"json" help:"Print JSON."`
}

// Help is what --help adds.
func (appShowCmd) Help() string {
	return "It wants the app's master key (QUORATE_MASTER_KEY, or the profile), and does not print the keys."
}

// Run shows the app.
func (c *appShowCmd) Run(ctx context.Context, e *env) error {
	return c.ask(ctx, e, question{method: http.MethodGet, path: "/v1/app"}, c.JSON, func(string) bool { return true })
}

type appSetCmd struct {
	connection
	Settings map[string]string `arg:"" mapsep:"none" help:"What to change, each as NAME=VALUE; NAME= puts the default back." placeholder:"NAME=VALUE"`
	JSON     bool              `name:"json" help:"Print JSON."`
}

// Help is what --help adds.
func (appSetCmd) Help() string {
	return `Example: quorate app set leanmessage.edit=on leanmessage.recall=on

"quorate app show" lists the settings; those that are changed here are printed. A change is seen by all nodes at once; users who are signed in see it when they sign in again.`
}

// Run changes the settings.
func (c *appSetCmd) Run(ctx context.Context, e *env) error {
	if err := door.CheckSettings(c.Settings); err != nil {
		return misused("%v", err)
	}
	return c.ask(ctx, e, question{http.MethodPatch, "/v1/app", node.AppChange{Settings: c.Settings}}, c.JSON, named(c.Settings))
}

type appCreateCmd struct {
	connection
	Name     string            `arg:"" optional:"" help:"For people."`
	Settings map[string]string `name:"setting" mapsep:"none" help:"A setting, as NAME=VALUE; may be given several times." placeholder:"NAME=VALUE"`
	JSON     bool              `name:"json" help:"Print JSON."`
}

// Help is what --help adds.
func (appCreateCmd) Help() string {
	return "It wants the master key of some app of the cluster. The new keys are printed now and never again: keep them.\n\nThe other commands go on with the app of the profile. For the new one, set QUORATE_APP, QUORATE_KEY and QUORATE_MASTER_KEY."
}

// Run makes the app.
func (c *appCreateCmd) Run(ctx context.Context, e *env) error {
	if err := door.CheckSettings(c.Settings); err != nil {
		return misused("%v", err)
	}
	return c.ask(ctx, e, question{http.MethodPost, "/v1/apps", node.NewApp{Name: c.Name, Settings: c.Settings}}, c.JSON, named(c.Settings))
}

// named picks the settings that somebody has named.
func named(settings map[string]string) func(name string) bool {
	return func(name string) bool { _, ok := settings[name]; return ok }
}

// ask asks for an app and prints it, with those of its settings that show picks.
func (c connection) ask(ctx context.Context, e *env, q question, asJSON bool, show func(name string) bool) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	p, err := c.profile()
	if err != nil {
		return err
	}
	var a node.AppInfo
	if err := p.ask(ctx, q, &a); err != nil {
		return err
	}
	if asJSON {
		return e.printJSON(a)
	}
	return e.printApp(&a, show)
}

func (e *env) printApp(a *node.AppInfo, show func(name string) bool) error {
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "app\t%s\n", a.ID)
	if a.Name != "" {
		fmt.Fprintf(w, "name\t%s\n", a.Name)
	}
	if a.Key != "" {
		fmt.Fprintf(w, "key\t%s\nmaster key\t%s\n", a.Key, a.MasterKey)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	others := maps.Clone(a.Settings)
	for _, s := range door.SettingsList() {
		value, set := others[s.Name]
		delete(others, s.Name)
		if show(s.Name) {
			fmt.Fprint(e.stdout, "\n", settingText(s, value, set))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(others)) { // of newer nodes
		fmt.Fprintf(e.stdout, "\n%s = %s\n", name, others[name])
	}
	return nil
}

// settingText is a setting in lines that a terminal has room for.
func settingText(s door.Setting, value string, set bool) string {
	const width, indent = 76, "   "
	values := s.Values
	if set {
		values += "; default " + s.Default
	} else {
		value = s.Default
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s = %s\n", s.Name, value)
	line := indent
	for word := range strings.FieldsSeq(s.Help + " (" + values + ")") {
		if len(line)+1+len(word) > width {
			b.WriteString(line + "\n")
			line = indent
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
	return b.String()
}
