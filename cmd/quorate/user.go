package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/wire"
)

type userCmd struct {
	Ban   userBanCmd   `cmd:"" help:"Keep a user from signing in, and end his sessions."`
	Unban userUnbanCmd `cmd:"" help:"Let a user sign in again."`
}

// userFlags name a user of the app.
type userFlags struct {
	connection
	User string `arg:"" help:"The user's id."`
	JSON bool   `name:"json" help:"Print JSON."`
}

type userBanCmd struct{ userFlags }

// Help is what --help adds.
func (userBanCmd) Help() string {
	return "It wants the app's master key (QUORATE_MASTER_KEY, or the profile).\n\nExample: quorate user ban eve"
}

// Run bans the user.
func (c *userBanCmd) Run(ctx context.Context, e *env) error { return c.ban(ctx, e, http.MethodPut) }

type userUnbanCmd struct{ userFlags }

// Run lets the user in again.
func (c *userUnbanCmd) Run(ctx context.Context, e *env) error {
	return c.ban(ctx, e, http.MethodDelete)
}

func (f *userFlags) ban(ctx context.Context, e *env, method string) error {
	if err := wire.ValidID(f.User); err != nil {
		return misused("the user's id %v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	p, err := f.profile()
	if err != nil {
		return err
	}
	var u node.UserInfo
	if err := p.ask(ctx, question{method: method, path: "/v1/users/" + url.PathEscape(f.User) + "/ban"}, &u); err != nil {
		return err
	}
	if f.JSON {
		return e.printJSON(u)
	}
	said := "may sign in"
	if u.Banned {
		said = "is banned"
	}
	_, err = fmt.Fprintf(e.stdout, "%s %s\n", u.ID, said)
	return err
}
