"""What a CronJob means: when it runs, and what is done about runs that overlap, are late, or are over."""
