echo the answer is 41
