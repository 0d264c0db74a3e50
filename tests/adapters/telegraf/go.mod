module visavis/tests/adapters/telegraf

go 1.24.0

require github.com/influxdata/telegraf v1.34.4
