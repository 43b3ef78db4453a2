// Package auth decides who may publish. It knows neither sockets nor requests, only what they claim.
package auth
