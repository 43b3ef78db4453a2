// Package limit counts what one address holds. It knows neither sockets nor requests.
package limit
