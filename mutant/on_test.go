//go:build mutants

package mutant_test

const built = true
