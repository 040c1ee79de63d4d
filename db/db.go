// Package db embeds every service's migrations.
package db

import "embed"

// Migrations holds core/migrations and madansara/migrations.
//
//go:embed core/migrations/*.sql madansara/migrations/*.sql
var Migrations embed.FS
