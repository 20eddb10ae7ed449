package leandoc

import "github.com/quorate/quorate/shard/state"

// RoleName returns the name that clients know a member's role by.
func RoleName(r state.Role) string {
	switch r {
	case state.RoleOwner:
		return "Owner"
	case state.RoleManager:
		return "Manager"
	default:
		return "Member"
	}
}

// RoleNamed returns the role of a name; false: there is none.
func RoleNamed(name string) (state.Role, bool) {
	for _, r := range []state.Role{state.RoleMember, state.RoleManager, state.RoleOwner} {
		if RoleName(r) == name {
			return r, true
		}
	}
	return state.RoleNone, false
}
