// Package adreport reads the campaign reports that advertising platforms export
// as CSV: Google Ads ("Campaign report", segmented by day) and Meta Ads Manager
// (broken down by day), in the languages of [Languages].
//
// What makes such a file more than a table, and is dealt with here:
//
//   - Google writes a title and a period above the header and totals below the
//     rows; its "Excel .csv" is UTF-16 with tabs. Meta writes a summary row.
//   - Numbers follow the account's locale ("1,204.50", "1.204,50", "1 204,50 €")
//     and may be no numbers (" --", "< 10"). Which of comma and point is the
//     decimal one is decided for the whole file, from all its cells.
//   - Dates follow the locale too. A file whose dates could be either
//     day-month or month-day is refused rather than guessed.
//   - A report broken down by device, network, ad set or age has several rows of
//     a campaign and day: they are summed.
//   - Meta's "Results" are whatever the campaign was optimised for. They count as
//     conversions only when their indicator is not a mere click or view.
//
// [ReadInsights] and [ReadAds] read what is known of competitors: Google's auction
// insights, in which a share is told as "< 10%", and lists of ads.
//
// A row that cannot be read is a [Problem] with its line; the others are read.
// Nothing here touches a network or a database.
package adreport
