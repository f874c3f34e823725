-- stagecraft: phase=post
-- After the rollout: the old code, which wrote `total` alone, is gone.
UPDATE orders SET total_cents = round(total * 100) WHERE total_cents IS NULL;
