package leanmessage

import (
	"context"
	"errors"
	"fmt"

	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

// The codes of the dialect that this door gives, as errors and as the status
// that a socket is closed with.
const (
	CodeAppNotAvailable      = 4100
	CodeSignatureFailed      = 4102
	CodeInvalidLogin         = 4103
	CodeSessionRequired      = 4105
	CodeBlacklisted          = 4106
	CodeReadTimeout          = 4107
	CodeLoginTimeout         = 4108
	CodeFrameTooLong         = 4109
	CodeInvalidOrigin        = 4110
	CodeSessionConflict      = 4111
	CodeSessionTokenExpired  = 4112
	CodeAppQuotaExceeded     = 4113
	CodeUnparseable          = 4114
	CodeKickedByApp          = 4115
	CodeSendQuotaExceeded    = 4116
	CodeInternalError        = 4200
	CodeConvInternalError    = 4300
	CodeConvAPIFailed        = 4301
	CodeConvSignatureFailed  = 4302
	CodeConvNotFound         = 4303
	CodeConvFull             = 4304
	CodeConvRejectedByApp    = 4305
	CodeConvUpdateFailed     = 4306
	CodeConvReadOnly         = 4307
	CodeConvNotAllowed       = 4308
	CodeConvUpdateRejected   = 4309
	CodeConvQueryFailed      = 4310
	CodeConvLogFailed        = 4311
	CodeConvLogRejected      = 4312
	CodeSystemConvRequired   = 4313
	CodeNormalConvRequired   = 4314
	CodeConvBlacklisted      = 4315
	CodeRoomRequired         = 4316
	CodeMembershipRequired   = 4317
	CodeConvAPIQuotaExceeded = 4318
	CodeOperationUnauth      = 4320
	CodeUnknownRole          = 4321
	CodeMemberInRoleFull     = 4322
	CodeTempConvExpired      = 4323
	CodeNeedOwner            = 4324
	CodeMemberInfoDisabled   = 4325
	CodeInvalidTarget        = 4401
	CodeMessageRejected      = 4402
	CodeOwnershipRequired    = 4403
	CodeMessageNotFound      = 4404
	CodeUpdateRejectedByApp  = 4405
	CodeEditDisabled         = 4406
	CodeRecallDisabled       = 4407
	CodeBlacklistFull        = 4543
	CodeBlacklistDisabled    = 4544
	CodeBlacklistSignature   = 4546
	CodeBlockedByConv        = 4548
	CodeSilencedListFull     = 4561
	CodeSilenced             = 4563
)

// reasons are the names of the codes: clients show them and compare them.
//
//nolint:gochecknoglobals // a lookup table
var reasons = map[int]string{
	CodeAppNotAvailable:      "APP_NOT_AVAILABLE",
	CodeSignatureFailed:      "SIGNATURE_FAILED",
	CodeInvalidLogin:         "INVALID_LOGIN",
	CodeSessionRequired:      "SESSION_REQUIRED",
	CodeBlacklisted:          "BLACKLISTED",
	CodeReadTimeout:          "READ_TIMEOUT",
	CodeLoginTimeout:         "LOGIN_TIMEOUT",
	CodeFrameTooLong:         "FRAME_TOO_LONG",
	CodeInvalidOrigin:        "INVALID_ORIGIN",
	CodeSessionConflict:      "SESSION_CONFLICT",
	CodeSessionTokenExpired:  "SESSION_TOKEN_EXPIRED",
	CodeAppQuotaExceeded:     "APP_QUOTA_EXCEEDED",
	CodeUnparseable:          "UNPARSEABLE_RAW_MESSAGE",
	CodeKickedByApp:          "KICKED_BY_APP",
	CodeSendQuotaExceeded:    "MESSAGE_SENT_QUOTA_EXCEEDED",
	CodeInternalError:        "INTERNAL_ERROR",
	CodeConvInternalError:    "CONVERSATION_INTERNAL_ERROR",
	CodeConvAPIFailed:        "CONVERSATION_API_FAILED",
	CodeConvSignatureFailed:  "CONVERSATION_SIGNATURE_FAILED",
	CodeConvNotFound:         "CONVERSATION_NOT_FOUND",
	CodeConvFull:             "CONVERSATION_FULL",
	CodeConvRejectedByApp:    "CONVERSATION_REJECTED_BY_APP",
	CodeConvUpdateFailed:     "CONVERSATION_UPDATE_FAILED",
	CodeConvReadOnly:         "CONVERSATION_READ_ONLY",
	CodeConvNotAllowed:       "CONVERSATION_NOT_ALLOWED",
	CodeConvUpdateRejected:   "CONVERSATION_UPDATE_REJECTED",
	CodeConvQueryFailed:      "CONVERSATION_QUERY_FAILED",
	CodeConvLogFailed:        "CONVERSATION_LOG_FAILED",
	CodeConvLogRejected:      "CONVERSATION_LOG_REJECTED",
	CodeSystemConvRequired:   "SYSTEM_CONVERSATION_REQUIRED",
	CodeNormalConvRequired:   "NORMAL_CONVERSATION_REQUIRED",
	CodeConvBlacklisted:      "CONVERSATION_BLACKLISTED",
	CodeRoomRequired:         "TRANSIENT_CONVERSATION_REQUIRED",
	CodeMembershipRequired:   "CONVERSATION_MEMBERSHIP_REQUIRED",
	CodeConvAPIQuotaExceeded: "CONVERSATION_API_QUOTA_EXCEEDED",
	CodeOperationUnauth:      "CONVERSATION_OPERATION_UNAUTHORIZED",
	CodeUnknownRole:          "UNKNOWN_CONVERSATION_ROLE",
	CodeMemberInRoleFull:     "CONVERSATION_MEMBER_IN_ROLE_FULL",
	CodeTempConvExpired:      "TEMPORARY_CONVERSATION_EXPIRED",
	CodeNeedOwner:            "CONVERSATION_NEED_OWNER",
	CodeMemberInfoDisabled:   "CONVERSATION_MEMBER_INFO_FEATURE_DISABLED",
	CodeInvalidTarget:        "INVALID_MESSAGING_TARGET",
	CodeMessageRejected:      "MESSAGE_REJECTED_BY_APP",
	CodeOwnershipRequired:    "MESSAGE_OWNERSHIP_REQUIRED",
	CodeMessageNotFound:      "MESSAGE_NOT_FOUND",
	CodeUpdateRejectedByApp:  "MESSAGE_UPDATE_REJECTED_BY_APP",
	CodeEditDisabled:         "MESSAGE_EDIT_DISABLED",
	CodeRecallDisabled:       "MESSAGE_RECALL_DISABLED",
	CodeBlacklistFull:        "BLACKLIST_FULL",
	CodeBlacklistDisabled:    "BLACKLIST_FEATURE_DISABLED",
	CodeBlacklistSignature:   "BLACKLIST_SIGNATURE_FAILED",
	CodeBlockedByConv:        "BLOCKED_BY_CONV",
	CodeSilencedListFull:     "SILIENCED_MEMBER_LIST_FULL", // so spelled by the clients
	CodeSilenced:             "SILIENCED",                  // as well
}

// Reason returns the name of a code.
func Reason(code int) string {
	if r, ok := reasons[code]; ok {
		return r
	}
	return fmt.Sprintf("ERROR_%d", code)
}

// Error is why a command is not done, as its client gets to know it.
type Error struct {
	Code    int
	Reason  string // empty: the code's name
	Detail  string // for people
	AppCode *int32 // the app's own, of a hook
	AppMsg  string
	Pids    []string // whom it is about
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%d %s", e.Code, e.reason())
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

func (e *Error) reason() string {
	if e.Reason != "" {
		return e.Reason
	}
	return Reason(e.Code)
}

// encode is the error as it stands in a command, and in a list of those that
// failed.
func (e *Error) encode() *leanpb.ErrorCommand {
	m := &leanpb.ErrorCommand{Code: new(int32(e.Code)), Reason: new(e.reason()), AppCode: e.AppCode, Pids: e.Pids}
	if e.Detail != "" {
		m.Detail = new(e.Detail)
	}
	if e.AppMsg != "" {
		m.AppMsg = new(e.AppMsg)
	}
	return m
}

// errorf makes an error with a detail.
func errorf(code int, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// codes says which code a group of commands gives a refusal. What it does not
// list is answered by commonCodes.
type codes map[state.Refusal]int

// commonCodes is what refusals are for all commands.
//
//nolint:gochecknoglobals // a lookup table
var commonCodes = codes{
	state.NotFound:   CodeConvNotFound,
	state.NotMember:  CodeConvUpdateRejected,
	state.Forbidden:  CodeOperationUnauth,
	state.Gone:       CodeConvNotFound,
	state.Limit:      CodeConvFull,
	state.Muted:      CodeSilenced,
	state.Blocked:    CodeBlockedByConv,
	state.SignedOut:  CodeKickedByApp,
	state.Conflict:   CodeSessionConflict,
	state.Backlogged: CodeInternalError,
}

// refused is the error for a refusal.
func (t codes) refused(r state.Refusal, text string) *Error {
	code, ok := t[r]
	if !ok {
		code, ok = commonCodes[r]
	}
	if !ok {
		code = CodeInternalError
	}
	if text == "" {
		text = r.String()
	}
	return &Error{Code: code, Detail: text}
}

// failed is what a client gets to know of an error of the host.
func (t codes) failed(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*state.RefusedError](err); ok {
		return t.refused(e.Refusal, e.Text)
	}
	if e, ok := errors.AsType[*wire.Error](err); ok {
		if refusal, ok := door.RefusalOf(e.Code); ok {
			return t.refused(refusal, e.Text)
		}
		return &Error{Code: CodeInternalError, Detail: e.Code.String() + ": " + e.Text}
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return &Error{Code: CodeInternalError, Detail: "not done in time"}
	}
	return &Error{Code: CodeInternalError}
}
