# %% [markdown]
# # Attention heads
#
# What the attention heads mean in vocabulary space.

# %%
heads = 4
