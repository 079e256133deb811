"""Training of the feed-forward drift: min ℓ(μ_T) + (λ/2)∫|θ|² dt over piecewise constant θ(t)."""
