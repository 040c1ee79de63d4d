// Package db embeds every service's migrations.
package db

import "embed"

// Migrations holds a folder <service>/migrations for each service.
//
//go:embed */migrations/*.sql
var Migrations embed.FS
