// Package fake is a small broadcast server for the tests of the bench, which does wrong what it is told to.
package fake
