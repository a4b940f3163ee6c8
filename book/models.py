# %% [markdown]
# # Two Polish models
#
# What the two models are.

# %%
layers = 4
