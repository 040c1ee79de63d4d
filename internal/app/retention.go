package app

import (
	"time"

	"github.com/engardehq/madansara/internal/config"
	"github.com/engardehq/madansara/internal/core/audit"
	"github.com/engardehq/madansara/internal/onside/ranking"
	"github.com/engardehq/madansara/internal/onside/seo"
	"github.com/engardehq/madansara/internal/retention"
)

// coreRules are what Core keeps for a time only. Facts are not among them: they are what
// the platform knows, and a customer's are erased as the customer's.
func coreRules(cfg config.Config) (rules []retention.Rule) {
	if months := cfg.AuditLogMonths; months > 0 {
		rules = append(rules, retention.Rule{Name: "entries of the audit log", Before: monthsAgo(months), Delete: audit.DeleteBefore})
	}
	return rules
}

// onsideRules are what Onside keeps for a time only.
func onsideRules(cfg config.Config) (rules []retention.Rule) {
	if days := cfg.SEOAnalysesDays; days > 0 {
		rules = append(rules, retention.Rule{
			Name: "analyses", Delete: seo.DeleteBefore,
			Before: func(now time.Time) time.Time { return now.AddDate(0, 0, -days) },
		})
	}
	if months := cfg.RankingsMonths; months > 0 {
		rules = append(rules, retention.Rule{Name: "rankings", Before: monthsAgo(months), Delete: ranking.DeleteBefore})
	}
	return rules
}

func monthsAgo(months int) func(time.Time) time.Time {
	return func(now time.Time) time.Time { return now.AddDate(0, -months, 0) }
}
