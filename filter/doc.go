// Package filter knows what a reader wants: it reads the text of a filter, says which stretches
// of records cannot hold any that match, and picks those that do, with the columns asked for. It
// refuses to know where records come from, and where they go.
//
// # The language
//
//	filter     = term { "or" term }
//	term       = factor { "and" factor }
//	factor     = "not" factor | "(" filter ")" | test
//	test       = column ( "=" | "!=" | "<>" | "<" | "<=" | ">" | ">=" ) literal
//	           | column [ "not" ] "in" "(" literal { "," literal } ")"
//	           | column "is" [ "not" ] "null"
//	           | column [ "not" ] "like" text          (text ends in %, its only one: a prefix)
//	           | "starts_with" "(" column "," text ")"
//	literal    = number | text | "true" | "false"
//	text       = a quote, characters, a quote; a quote among them is written twice
//
// Words are written in either case. Columns are those of every record but headers, and the typed
// ones of the topic. Key and value are compared as bytes. A timestamp is milliseconds, or text of
// RFC 3339 or like 2001-02-03; a date is days since 1970, or text like 2001-02-03.
//
// Comparisons with null are neither true nor false, nor is what depends on them (SQL's three
// values); a record matches if the filter is true.
package filter
