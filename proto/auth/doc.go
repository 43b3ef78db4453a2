// Package auth decides who may publish, and which pages may open sockets. It knows neither sockets nor requests, only what they claim.
package auth
