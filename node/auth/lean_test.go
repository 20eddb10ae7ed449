package auth

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func leanSession() LeanSession {
	return LeanSession{App: "app", User: "tom", Tag: "mobile", Device: "d1", Issued: time.UnixMilli(now.UnixMilli() + 123)}
}

func TestLeanTokenRemembersTheSession(t *testing.T) {
	want := leanSession()
	token, err := IssueLean(want, keys, MaxLife)
	if err != nil {
		t.Fatal(err)
	}
	got, err := VerifyLean("app", keys, token, now.Add(23*time.Hour))
	if err != nil || got != want {
		t.Errorf("the token gives %+v, %v; want %+v", got, err, want)
	}
}

func TestLeanTokenIsRefused(t *testing.T) {
	token, err := IssueLean(leanSession(), keys, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	native, err := Issue(Identity{App: "app", User: "tom", Issued: now}, keys)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		app   string
		keys  Keys
		token string
		at    time.Time
	}{
		"expired":            {"app", keys, token, now.Add(2 * time.Hour)},
		"another app":        {"other", keys, token, now},
		"another master key": {"app", Keys{Key: "app-key", MasterKey: "other"}, token, now},
		"no master key":      {"app", Keys{Key: "app-key"}, token, now},
		"changed":            {"app", keys, token[:len(token)-4] + strings.Repeat("A", 4), now},
		"a native token":     {"app", keys, native, now},
		"of the app's key":   {"app", keys, sign(t, "app-key", jwt.SigningMethodHS256, func(c *claims) { c.Use = useLean }), now},
		"garbage":            {"app", keys, "garbage", now},
	} {
		_, err := VerifyLean("app", c.keys, c.token, c.at)
		if c.app != "app" {
			_, err = VerifyLean("other", c.keys, c.token, c.at)
		}
		if !errors.Is(err, ErrRefused) || errors.Is(err, ErrExpired) != (name == "expired") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Verify("app", keys, token, now); !errors.Is(err, ErrRefused) {
		t.Errorf("the native door takes it: %v", err)
	}
	if _, err := IssueLean(leanSession(), Keys{Key: "app-key"}, time.Hour); err == nil {
		t.Error("a token was made without a master key")
	}
}
