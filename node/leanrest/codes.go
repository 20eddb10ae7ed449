package leanrest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// The codes of the dialect that this door gives.
const (
	codeOther               = 1
	codeQuery               = 102
	codeJSON                = 107
	codeMissing             = 113
	codeTimeout             = 124
	codeNoUser              = 211
	codeUnauthorized        = 401
	codeForbidden           = 403
	codeTooLarge            = 413
	codeTooMany             = 429
	codeTokenExpired        = 4112
	codeFrameTooLong        = 4109
	codeInternal            = 4200
	codeConvNotFound        = 4303
	codeConvFull            = 4304
	codeUpdateFailed        = 4306
	codeQueryFailed         = 4310
	codeLogRejected         = 4312
	codeSystemRequired      = 4313
	codeNormalRequired      = 4314
	codeRoomRequired        = 4316
	codeMembershipRequired  = 4317
	codeUnauthorizedRole    = 4320
	codeUnknownRole         = 4321
	codeNeedOwner           = 4324
	codeMemberInfoDisabled  = 4325
	codeInvalidTarget       = 4401
	codeOwnershipRequired   = 4403
	codeMessageNotFound     = 4404
	codeBlockListFull       = 4543
	codeBlockListDisabled   = 4544
	codeHistorySignature    = 4102
	codeBlockedByConv       = 4548
	codeMuteListFull        = 4561
	codeSilenced            = 4563
	codeTemporarilySilenced = 4315
)

// failure is why a request is not done, as it is answered.
type failure struct {
	status, code int
	text         string
	after        time.Duration // ask again then; 0: it does not help
}

func (f *failure) Error() string { return fmt.Sprintf("%d: %s", f.code, f.text) }

// wrong says what a request has that it must not have.
func wrong(code int, format string, args ...any) *failure {
	return &failure{status: http.StatusBadRequest, code: code, text: fmt.Sprintf(format, args...)}
}

// refusals says what a refusal is answered with, where an operation has no
// answer of its own for it.
func refusals(r state.Refusal) (status, code int) {
	switch r {
	case state.NotFound, state.Gone:
		return http.StatusNotFound, codeConvNotFound
	case state.NotMember:
		return http.StatusBadRequest, codeMembershipRequired
	case state.Forbidden:
		return http.StatusForbidden, codeUnauthorizedRole
	case state.Limit:
		return http.StatusBadRequest, codeConvFull
	case state.Muted:
		return http.StatusForbidden, codeSilenced
	case state.MutedForNow:
		return http.StatusForbidden, codeTemporarilySilenced
	case state.Blocked, state.Banned:
		return http.StatusForbidden, codeBlockedByConv
	case state.NeedOwner:
		return http.StatusBadRequest, codeNeedOwner
	case state.BlockListFull:
		return http.StatusBadRequest, codeBlockListFull
	case state.MuteListFull:
		return http.StatusBadRequest, codeMuteListFull
	case state.Backlogged:
		return http.StatusServiceUnavailable, codeInternal
	default:
		return http.StatusBadRequest, codeOther
	}
}

// refused is the failure for a refusal.
func refused(r state.Refusal, text string) *failure {
	status, code := refusals(r)
	if text == "" {
		text = r.String()
	}
	return &failure{status: status, code: code, text: text}
}

// failure404 returns the failure if an error says that something is not there.
func failure404(err error) *failure {
	if err == nil {
		return nil
	}
	if f := failureOf(err); f.status == http.StatusNotFound {
		return f
	}
	return nil
}

// failureOf is what a client gets to know of an error.
func failureOf(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	if e, ok := errors.AsType[*state.RefusedError](err); ok {
		return refused(e.Refusal, e.Text)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return &failure{status: http.StatusServiceUnavailable, code: codeTimeout, text: "not done in time: ask again", after: time.Second}
	}
	e, ok := errors.AsType[*wire.Error](err)
	if !ok {
		return &failure{status: http.StatusInternalServerError, code: codeInternal, text: "internal error"}
	}
	if r, ok := door.RefusalOf(e.Code); ok {
		return refused(r, e.Text)
	}
	switch e.Code {
	case wire.CodeUnavailable, wire.CodeNotLeader, wire.CodeStaleRoute, wire.CodeStorageFull, wire.CodeClosed:
		return &failure{status: http.StatusServiceUnavailable, code: codeInternal, text: "not available: ask again", after: time.Second}
	default:
		return &failure{status: http.StatusInternalServerError, code: codeInternal, text: "internal error"}
	}
}
