-- Who was rejected and why: inputs that were not carried out, by source, message and reason
SELECT coalesce(s.name, 'source ' || e.source) AS sent_by, e.message, e.outcome_name AS outcome, e.reason, count(*) AS inputs,
       min(e.sequence) AS first_sequence, max(e.sequence) AS last_sequence
FROM entries AS e LEFT JOIN (SELECT source, arg_max(name, sequence) AS name FROM sources GROUP BY source) AS s USING (source)
WHERE e.outcome <> 0
GROUP BY ALL
ORDER BY inputs DESC, sent_by, e.message, outcome
