# %% [markdown]
# # Feed-forward layers
#
# What the neurons of the feed-forward layers mean in vocabulary space.

# %%
neurons = 4
