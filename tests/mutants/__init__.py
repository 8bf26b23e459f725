"""Mutation testing: which changes to the core does no test notice?"""
